declare const brand: unique symbol
export type UserId = string & { readonly [brand]: 'UserId' }
