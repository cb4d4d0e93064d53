// Of every job, beside its number.
export const PAYLOAD = { to: "ada@example.com", subject: "hello" };
