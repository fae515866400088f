"""The books of the ERP: `models` stores them, `vendor_calls` calls vendors, `views` shows pages."""
