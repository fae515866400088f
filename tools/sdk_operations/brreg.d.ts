interface Operations {
    "GET /enhetsregisteret/api/enheter/{number}": { answer: Enhet };
}
