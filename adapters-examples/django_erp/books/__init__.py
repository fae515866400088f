"""The books of the ERP: `models` stores them, `desk` calls vendors, `views` shows pages."""
