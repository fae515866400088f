interface Page {
    page?: number;
    per_page?: number;
    order?: "asc" | "desc";
    orderby?: string;
}

interface OrderPage extends Page {
    after?: string;
    before?: string;
    modified_after?: string;
    modified_before?: string;
    dates_are_gmt?: boolean;
    exclude?: string;
    search?: string;
    status?: string;
}

interface ProductPage extends Page {
    search?: string;
    sku?: string;
}

interface Operations {
    "GET /wp-json/wc/v3/orders": { query: OrderPage; answer: Orders[] };
    "GET /wp-json/wc/v3/orders/{id}": { query: { _fields?: string }; answer: Orders };
    "PUT /wp-json/wc/v3/orders/{id}": { body: OrdersParams; answer: Orders };
    "GET /wp-json/wc/v3/orders/{id}/notes": {
        query: { type?: "any" | "customer" | "internal" };
        answer: OrdersNotes[];
    };
    "POST /wp-json/wc/v3/orders/{id}/notes": { body: OrdersNotesParams; answer: OrdersNotes };
    "GET /wp-json/wc/v3/orders/{id}/refunds": { query: Page; answer: OrdersRefunds[] };
    "POST /wp-json/wc/v3/orders/{id}/refunds": { body: OrdersRefundsParams; answer: OrdersRefunds };
    "GET /wp-json/wc/v3/products": { query: ProductPage; answer: Products[] };
    "PUT /wp-json/wc/v3/products/{id}": { body: Partial<Products>; answer: Products };
}
