"""The ERP's app: `models` stores data, `vendor_calls` calls vendors, `views` shows pages."""
