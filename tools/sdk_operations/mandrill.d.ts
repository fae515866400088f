type Keyed<T> = T & { key: string };

interface Operations {
    "POST /api/1.0/messages/send": {
        body: Keyed<MessagesSendRequest>;
        answer: MessagesSendResponse[];
    };
    "POST /api/1.0/messages/send-template": {
        body: Keyed<MessagesSendTemplateRequest>;
        answer: MessagesSendResponse[];
    };
    "POST /api/1.0/messages/info": {
        body: Keyed<MessagesMessageByIdRequest>;
        answer: MessagesInfoResponse;
    };
    "POST /api/1.0/messages/cancel-scheduled": {
        body: Keyed<MessagesCancelScheduledRequest>;
        answer: MessagesScheduledMessageResponse;
    };
    "POST /api/1.0/rejects/list": { body: Keyed<RejectsListRequest>; answer: RejectsListResponse[] };
    "POST /api/1.0/rejects/add": { body: Keyed<RejectsAddRequest>; answer: RejectsAddResponse };
    "POST /api/1.0/rejects/delete": {
        body: Keyed<RejectsDeleteRequest>;
        answer: RejectsDeleteResponse;
    };
}
