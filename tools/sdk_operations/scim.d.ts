interface Resource {
    schemas: string[];
    id?: string;
    externalId?: string;
    meta?: {
        resourceType?: string;
        created?: string;
        lastModified?: string;
        location?: string;
        version?: string;
    };
}

type Person = Resource & User & { "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"?: EnterpriseUser };

interface Page {
    filter?: string;
    startIndex?: number;
    count?: number;
    attributes?: string;
    excludedAttributes?: string;
}

interface Patch {
    schemas: "urn:ietf:params:scim:api:messages:2.0:PatchOp"[];
    Operations: { op: "add" | "remove" | "replace"; path?: string; value?: unknown }[];
}

interface Listed<T> {
    schemas: "urn:ietf:params:scim:api:messages:2.0:ListResponse"[];
    totalResults: number;
    itemsPerPage?: number;
    startIndex?: number;
    Resources?: T[];
}

interface Supported {
    supported: boolean;
}

interface Operations {
    "POST /scim/v2/Users": { body: Person; answer: Person };
    "GET /scim/v2/Users": { query: Page; answer: Listed<Person> };
    "GET /scim/v2/Users/{id}": { query: Page; answer: Person };
    "PATCH /scim/v2/Users/{id}": { body: Patch; answer: Person };
    "DELETE /scim/v2/Users/{id}": {};
    "GET /scim/v2/Groups": { query: Page; answer: Listed<Resource & Group> };
    "GET /scim/v2/Groups/{id}": { query: Page; answer: Resource & Group };
    "PATCH /scim/v2/Groups/{id}": { body: Patch; answer: Resource & Group };
    "GET /scim/v2/ServiceProviderConfig": {
        answer: Resource & {
            documentationUri?: string;
            patch: Supported;
            bulk: Supported & { maxOperations: number; maxPayloadSize: number };
            filter: Supported & { maxResults: number };
            changePassword: Supported;
            sort: Supported;
            etag: Supported;
            authenticationSchemes: {
                type: string;
                name: string;
                description: string;
                specUri?: string;
                documentationUri?: string;
                primary?: boolean;
            }[];
        };
    };
}
