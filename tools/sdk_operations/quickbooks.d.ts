interface Query {
    minorversion: string;
    requestid?: string;
}

interface Operations {
    "GET /v3/company/{realm}/query": {
        query: { query: string; minorversion: string };
        answer: {
            QueryResponse: {
                Account?: Account[];
                Attachable?: Attachable[];
                Bill?: Bill[];
                Customer?: Customer[];
                Invoice?: Invoice[];
                JournalEntry?: JournalEntry[];
                Payment?: Payment[];
                TaxCode?: TaxCode[];
                TaxRate?: TaxRate[];
                Vendor?: Vendor[];
                startPosition: number;
                maxResults: number;
                totalCount: number;
            };
            time: string;
        };
    };
    "POST /v3/company/{realm}/bill": {
        query: Query;
        body: Bill;
        answer: { Bill: Bill; time: string };
    };
    "GET /v3/company/{realm}/bill/{id}": { query: Query; answer: { Bill: Bill; time: string } };
    "POST /v3/company/{realm}/customer": {
        query: Query;
        body: Customer;
        answer: { Customer: Customer; time: string };
    };
    "GET /v3/company/{realm}/customer/{id}": {
        query: Query;
        answer: { Customer: Customer; time: string };
    };
    "POST /v3/company/{realm}/invoice": {
        query: Query;
        body: Invoice;
        answer: { Invoice: Invoice; time: string };
    };
    "GET /v3/company/{realm}/invoice/{id}": {
        query: Query;
        answer: { Invoice: Invoice; time: string };
    };
    "POST /v3/company/{realm}/invoice?operation=void": {
        query: Query;
        body: Pick<Invoice, "Id" | "SyncToken">;
        answer: { Invoice: Invoice; time: string };
    };
    "POST /v3/company/{realm}/journalentry": {
        query: Query;
        body: JournalEntry;
        answer: { JournalEntry: JournalEntry; time: string };
    };
    "POST /v3/company/{realm}/payment": {
        query: Query;
        body: Payment;
        answer: { Payment: Payment; time: string };
    };
    "POST /v3/company/{realm}/upload": {
        query: Query;
        body: object;
        answer: { AttachableResponse: { Attachable: Attachable }[]; time: string };
    };
    "POST /v3/company/{realm}/vendor": {
        query: Query;
        body: Vendor;
        answer: { Vendor: Vendor; time: string };
    };
}
