interface Messages extends Omit<SmsRequest, "messages"> {
    messages: (Omit<SmsMessage, "content"> & { content: SmsTextContent })[];
}
interface LogsResponse extends Omit<SmsLogsResponse, "results"> {
    results: (Omit<SmsLog, "content"> & { content?: SmsTextContent })[];
}
interface SmsStep extends Omit<MessagesApiFailover, "content"> {
    content: { body: MessagesApiMessageTextBody };
}
interface TemplateMessages {
    messages: (Omit<MessagesApiTemplateMessage, "content" | "destinations" | "failover"> & {
        content?: { body: { type: MessagesApiTemplateBodyType; [name: string]: string } };
        destinations: (MessagesApiChannelsDestination | MessagesApiToDestination)[];
        failover?: SmsStep[];
    })[];
}
interface Operations {
    "POST /messages-api/1/messages": { body: TemplateMessages; answer: MessageResponse };
    "POST /sms/3/messages": { body: Messages; answer: SmsResponse };
    "GET /sms/3/logs": { query: { messageId?: string; bulkId?: string }; answer: LogsResponse };
    "GET /sms/1/bulks/status": { query: { bulkId: string }; answer: SmsBulkStatusResponse };
    "PUT /sms/1/bulks/status": {
        query: { bulkId: string };
        body: SmsUpdateStatusRequest;
        answer: SmsBulkStatusResponse;
    };
    "POST /2fa/2/pin": {
        body: TfaStartAuthenticationRequest;
        answer: TfaStartAuthenticationResponse;
    };
    "POST /2fa/2/pin/voice": {
        body: TfaStartAuthenticationRequest;
        answer: TfaStartAuthenticationResponse;
    };
    "POST /2fa/2/pin/{pin}/verify": { body: TfaVerifyPinRequest; answer: TfaVerifyPinResponse };
}
