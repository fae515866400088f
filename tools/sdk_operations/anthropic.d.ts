interface Operations {
    "GET /v1/models": { answer: ModelInfosPage };
    "POST /v1/messages": { body: MessageCreateParamsNonStreaming; answer: Message };
}
