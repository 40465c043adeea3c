/**
 * Durable Objects as their callers see them.
 *
 * Our methods take and return plain data only. Cloudflare's stub types rewrite every result in case it holds functions or
 * stubs, and the compiler gives up on that for JSON, which is recursive. So a method has here the type it has in its class.
 */
export type Remote<T> = Pick<Fetcher, 'fetch'> & {
  readonly [
    Name in Exclude<keyof T, 'fetch'> as T[Name] extends (...args: never) => Promise<unknown> ? Name : never
  ]: T[Name]
}

/** The object of that name. */
export function remote<T extends Rpc.DurableObjectBranded>(
  namespace: DurableObjectNamespace<T>,
  name: string,
): Remote<T> {
  // The one place where a stub loses Cloudflare's type.
  return namespace.get(namespace.idFromName(name)) as unknown as Remote<T>
}
