declare const brand: unique symbol
export type RoomId = string & { readonly [brand]: 'RoomId' }
