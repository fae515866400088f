interface Operations {
    "POST /bot{token}/sendMessage": { body: SendMessageParams; answer: SendMessageResponse };
    "POST /bot{token}/editMessageText": {
        body: EditMessageTextParams;
        answer: EditMessageTextResponse;
    };
    "POST /bot{token}/deleteMessage": { body: DeleteMessageParams; answer: ResponseSuccess<boolean> };
}
