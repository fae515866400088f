interface Operations {
    "POST /v2/addresses": {
        body: {
            address: DeepPartial<Omit<IAddressCreateParameters, "verify">>;
            verify?: boolean;
        };
        answer: IAddress;
    };
    "POST /v2/pickups": { body: { pickup: DeepPartial<ShipmentPickupCreateParameters> }; answer: IPickup };
    "POST /v2/pickups/{id}/buy": { body: { carrier: string; service: string }; answer: IPickup };
    "POST /v2/pickups/{id}/cancel": { answer: IPickup };
    "POST /v2/scan_forms": { body: { scan_form: IScanFormCreateParameters }; answer: IScanForm };
    "GET /v2/scan_forms/{id}": { answer: IScanForm };
    "POST /v2/shipments": { body: { shipment: IShipmentCreateParameters }; answer: IShipment };
    "GET /v2/shipments/{id}": { answer: IShipment };
    "POST /v2/shipments/{id}/buy": {
        body: { rate: { id: string }; insurance?: string };
        answer: IShipment;
    };
    "GET /v2/shipments/{id}/label": { query: { file_format: LabelFormat }; answer: IShipment };
    "POST /v2/shipments/{id}/refund": { answer: IShipment };
}
