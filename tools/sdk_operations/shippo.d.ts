interface Operations {
    "POST /addresses": { body: SnakeCase<AddressCreateRequest>; answer: SnakeCase<Address> };
    "POST /manifests": { body: SnakeCase<ManifestCreateRequest>; answer: SnakeCase<Manifest> };
    "GET /manifests/{id}": { answer: SnakeCase<Manifest> };
    "POST /pickups": { body: SnakeCase<PickupBase>; answer: SnakeCase<Pickup> };
    "GET /rates/{id}": { answer: SnakeCase<Rate> };
    "POST /refunds": { body: SnakeCase<RefundRequestBody>; answer: SnakeCase<Refund> };
    "POST /shipments": { body: SnakeCase<ShipmentCreateRequest>; answer: SnakeCase<Shipment> };
    "GET /shipments/{id}": { answer: SnakeCase<Shipment> };
    "GET /tracks/{carrier}/{number}": { answer: SnakeCase<Track> };
    "POST /transactions": {
        body: SnakeCase<TransactionCreateRequest>;
        answer: SnakeCase<Transaction>;
    };
    "GET /transactions/{id}": { answer: SnakeCase<Transaction> };
}
