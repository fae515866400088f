// AvaTax sends and takes the names of enumerations; the library declares their numbers.
type DocumentWord =
    | "SalesOrder"
    | "SalesInvoice"
    | "PurchaseOrder"
    | "PurchaseInvoice"
    | "ReturnOrder"
    | "ReturnInvoice"
    | "InventoryTransferOrder"
    | "InventoryTransferInvoice"
    | "ReverseChargeOrder"
    | "ReverseChargeInvoice"
    | "CustomsInvoice"
    | "CustomsOrder"
    | "InventoryTransferOutboundInvoice"
    | "InventoryTransferOutboundOrder"
    | "Any";
type StatusWord =
    | "Temporary"
    | "Saved"
    | "Posted"
    | "Committed"
    | "Cancelled"
    | "Adjusted"
    | "Queued"
    | "PendingApproval"
    | "Uncommitted"
    | "Any";
type OverrideWord =
    | "None"
    | "TaxAmount"
    | "Exemption"
    | "TaxDate"
    | "AccruedTaxAmount"
    | "DeriveTaxable"
    | "OutOfHarbor"
    | "TaxAmountByTaxType"
    | "VendorChargedTax";
type LevelWord =
    | "Country"
    | "State"
    | "County"
    | "City"
    | "Special";
type OlderLevelWord =
    | "STA"
    | "CTY"
    | "CIT"
    | "STJ"
    | "CNT";

interface Override extends Omit<TaxOverrideModel, "type"> {
    type?: OverrideWord;
}
interface SentLine extends Omit<LineItemModel, "taxOverride"> {
    taxOverride?: Override;
}
interface SentTransaction extends Omit<CreateTransactionModel, "type" | "lines"> {
    type?: DocumentWord;
    lines: SentLine[];
}
interface Detail extends Omit<TransactionLineDetailModel, "jurisdictionType" | "jurisType"> {
    jurisdictionType?: LevelWord;
    jurisType?: OlderLevelWord;
}
interface Row extends Omit<TransactionLineModel, "details"> {
    details?: Detail[];
}
interface Transaction extends Omit<TransactionModel, "type" | "status" | "lines"> {
    type?: DocumentWord;
    status?: StatusWord;
    lines?: Row[];
}

interface Operations {
    "GET /api/v2/utilities/ping": { answer: Omit<PingResultModel, "authenticationType"> };
    "POST /api/v2/transactions/create": { body: SentTransaction; answer: Transaction };
    "GET /api/v2/companies/{companyCode}/transactions/{transactionCode}": {
        query: { documentType?: DocumentWord; $include?: string };
        answer: Transaction;
    };
}
