interface Answer {
    refId?: string;
    messages: MessagesType;
    transactionResponse?: Omit<TransactionResponse, "messages" | "errors"> & {
        messages?: { code: string; description: string }[];
        errors?: { errorCode: string; errorText: string }[];
    };
    profileResponse?: Omit<
        CreateProfileResponse,
        "customerPaymentProfileIdList" | "customerShippingAddressIdList"
    > & {
        customerPaymentProfileIdList?: string[];
        customerShippingAddressIdList?: string[];
    };
    transaction?: TransactionDetailsType;
    transrefId?: string;
    transactions?: TransactionSummaryType[];
    totalNumInResultSet?: number;
    batchList?: BatchDetailsType[];
    profile?: CustomerProfileMaskedType;
}
interface Operations {
    "POST /xml/v1/request.api": {
        body:
            | { createTransactionRequest: CreateTransactionRequest }
            | { getTransactionDetailsRequest: GetTransactionDetailsRequest }
            | { getUnsettledTransactionListRequest: GetUnsettledTransactionListRequest }
            | { getSettledBatchListRequest: GetSettledBatchListRequest }
            | { getTransactionListRequest: GetTransactionListRequest }
            | { getCustomerProfileRequest: GetCustomerProfileRequest }
            | { deleteCustomerPaymentProfileRequest: DeleteCustomerPaymentProfileRequest };
        answer: Answer;
    };
}
