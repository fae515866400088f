interface SignersAlone {
    recipientCount?: string;
    signers?: (Omit<Signer, "tabs"> & { tabs?: Pick<Tabs, "signHereTabs"> })[];
}
interface NewEnvelope
    extends Pick<
        EnvelopeDefinition,
        "emailBlurb" | "emailSubject" | "notification" | "status" | "templateId" | "transactionId"
    > {
    documents?: Omit<Document, "tabs">[];
    recipients?: SignersAlone;
    templateRoles?: Omit<TemplateRole, "tabs">[];
}
interface KnownEnvelope
    extends Omit<
        Envelope,
        "envelopeDocuments" | "folders" | "lockInformation" | "powerForm" | "recipients" | "workflow"
    > {
    recipients?: SignersAlone;
}
interface Operations {
    "GET /restapi/v2.1/accounts/{account}/envelopes": {
        query: { from_date?: string; transaction_ids?: string };
        answer: Omit<EnvelopesInformation, "envelopes" | "folders"> & {
            envelopes?: KnownEnvelope[];
        };
    };
    "POST /restapi/v2.1/accounts/{account}/envelopes": {
        body: NewEnvelope;
        answer: EnvelopeSummary;
    };
    "GET /restapi/v2.1/accounts/{account}/envelopes/{id}": {
        query: { advanced_update?: boolean; include?: string };
        answer: KnownEnvelope;
    };
    "PUT /restapi/v2.1/accounts/{account}/envelopes/{id}": {
        query: { advanced_update?: boolean; resend_envelope?: boolean };
        body: KnownEnvelope;
        answer: Pick<EnvelopeUpdateSummary, "envelopeId" | "errorDetails">;
    };
    "GET /restapi/v2.1/accounts/{account}/envelopes/{id}/documents/{document}": {
        query: { certificate?: boolean; language?: string; show_changes?: boolean };
    };
    "POST /restapi/v2.1/accounts/{account}/envelopes/{id}/views/recipient": {
        body: RecipientViewRequest;
        answer: ViewUrl;
    };
}
