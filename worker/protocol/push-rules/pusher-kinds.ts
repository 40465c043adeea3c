/** Kinds of pushers. Spec: client-server-api/#post_matrixclientv3pushersset; MSC4174 under its names of now and then. */
const webPushKinds: readonly string[] = ['webpush', 'org.matrix.msc4174.webpush']

export function isWebPush(kind: string): boolean {
  return webPushKinds.includes(kind)
}

export function isKnownKind(kind: string): boolean {
  return kind === 'http' || kind === 'email' || isWebPush(kind)
}
