"""The books of the ERP: `models` keeps them, `desk` speaks to vendors, `views` shows pages."""
