declare const brand: unique symbol
export type ServerName = string & { readonly [brand]: 'ServerName' }
