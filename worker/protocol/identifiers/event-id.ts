declare const brand: unique symbol
export type EventId = string & { readonly [brand]: 'EventId' }
