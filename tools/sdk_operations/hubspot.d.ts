interface Linked extends Omit<BatchResponsePublicDefaultAssociation, "results"> {
    results: (Omit<PublicDefaultAssociation, "_from"> & { from: PublicObjectId })[];
}
interface Saved extends Omit<BatchResponseSimplePublicUpsertObject, "results"> {
    results: (Omit<SimplePublicUpsertObject, "_new"> & { new: boolean })[];
}
interface Operations {
    "GET /crm/v3/objects/{type}": {
        query: {
            after?: string;
            archived?: boolean;
            associations?: string;
            limit?: number;
            properties?: string;
        };
        answer: CollectionResponseSimplePublicObjectWithAssociationsForwardPaging;
    };
    "POST /crm/v3/objects/{type}": {
        body: SimplePublicObjectInputForCreate;
        answer: SimplePublicObject;
    };
    "GET /crm/v3/objects/{type}/{id}": {
        query: {
            archived?: boolean;
            associations?: string;
            idProperty?: string;
            properties?: string;
        };
        answer: SimplePublicObjectWithAssociations;
    };
    "PATCH /crm/v3/objects/{type}/{id}": {
        body: SimplePublicObjectInput;
        answer: SimplePublicObject;
    };
    "POST /crm/v3/objects/{type}/batch/upsert": {
        body: BatchInputSimplePublicObjectBatchInputUpsert;
        answer: Saved;
    };
    "POST /crm/v3/objects/companies/search": {
        body: PublicObjectSearchRequest;
        answer: CollectionResponseWithTotalSimplePublicObjectForwardPaging;
    };
    "PUT /crm/v4/objects/{type}/{id}/associations/default/{other_type}/{other_id}": {
        answer: Linked;
    };
}
