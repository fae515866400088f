interface Operations {
    "POST /3/device/{token}": { body: { aps: Aps; [name: string]: unknown } };
}
