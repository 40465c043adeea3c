/** Where letters about unread messages are ended; pages/unsubscribe.ts answers there. */
export const unsubscribePath = '/_hearth/email/unsubscribe'

/** The link of a user's letters. Whoever has the letter may use it: nobody signs in for this. */
export function unsubscribeUrl(publicUrl: string, userId: string, token: string): string {
  return `${publicUrl}${unsubscribePath}?${new URLSearchParams({ user: userId, token }).toString()}`
}
