type Orders = import("lib/types/restful/specs/sell_fulfillment_v1_oas3").components["schemas"];
type OrderUses = import("lib/types/restful/specs/sell_fulfillment_v1_oas3").operations;
type Stock = import("lib/types/restful/specs/sell_inventory_v1_oas3").components["schemas"];
type StockUses = import("lib/types/restful/specs/sell_inventory_v1_oas3").operations;

interface Operations {
    "GET /sell/fulfillment/v1/order": {
        query: OrderUses["getOrders"]["parameters"]["query"];
        answer: Orders["OrderSearchPagedCollection"];
    };
    "GET /sell/fulfillment/v1/order/{id}": { answer: Orders["Order"] };
    "GET /sell/fulfillment/v1/order/{id}/shipping_fulfillment": {
        answer: Orders["ShippingFulfillmentPagedCollection"];
    };
    "POST /sell/fulfillment/v1/order/{id}/shipping_fulfillment": {
        body: Orders["ShippingFulfillmentDetails"];
    };
    "GET /sell/inventory/v1/inventory_item/{sku}": {
        answer: Stock["InventoryItemWithSkuLocaleGroupid"];
    };
    "GET /sell/inventory/v1/offer": {
        query: StockUses["getOffers"]["parameters"]["query"];
        answer: Stock["Offers"];
    };
    "POST /sell/inventory/v1/bulk_update_price_quantity": {
        body: Stock["BulkPriceQuantity"];
        answer: Stock["BulkPriceQuantityResponse"];
    };
}
