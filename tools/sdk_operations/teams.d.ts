interface Operations {
    "POST /powerautomate/automations/direct/workflows/{id}/triggers/manual/paths/invoke": {
        query: { "api-version": string; sp: string; sv: string; sig: string };
        body: {
            type: "message";
            attachments: {
                contentType: "application/vnd.microsoft.card.adaptive";
                contentUrl?: string | null;
                content: AdaptiveCard;
            }[];
        };
    };
}
