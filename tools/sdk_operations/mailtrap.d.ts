interface Operations {
    "POST /api/send": { body: Mail; answer: SendResponse };
    "POST /api/batch": { body: BatchSendRequest; answer: BatchSendResponse };
}
