/**
 * Where no request of ours may go: loopback, private, link-local and other addresses that are not public.
 *
 * Guards every fetch that a remote or a user can cause (SSRF): server names, keys, pushes, previews. Takes the host as the
 * URL parser writes it, which has already turned `0x7f.1` and `2130706433` into 127.0.0.1. Never decides by name alone
 * what a name resolves to: where a resolver is at hand its answers go through `isPublicAddress` too.
 */

/** IPv4 ranges that are not public, as [first address, prefix length]. IANA special-purpose registry. */
const privateV4: ReadonlyArray<readonly [string, number]> = [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 3],
]

/** Names that stand for this machine or its network without asking any DNS. */
const privateNames = /(?:^|\.)(?:localhost|local|internal|localdomain|home\.arpa)\.?$/i

/** False for an IP literal, without brackets, that is not public or not understood. */
export function isPublicAddress(address: string): boolean {
  const v4 = parseV4(address)
  if (v4 !== undefined) return isPublicV4(v4)
  const groups = parseV6(address)
  return groups !== undefined && isPublicV6(groups)
}

/** False for a URL's host that is a private name or an address which is not public. */
export function isPublicHost(host: string): boolean {
  if (host === '') return false
  if (host.startsWith('[')) return isPublicAddress(host.slice(1, -1))
  if (/^[\d.]+$/.test(host)) return isPublicAddress(host)
  // A name without a dot is looked up in the search domains of the network we run in.
  return host.includes('.') && !privateNames.test(host)
}

function parseV4(text: string): number | undefined {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text)
  if (!match) return undefined
  const bytes = match.slice(1).map(Number)
  return bytes.some((byte) => byte > 255) ? undefined : bytes.reduce((sum, byte) => sum * 256 + byte, 0)
}

function isPublicV4(address: number): boolean {
  return !privateV4.some(([first, length]) => {
    const size = 2 ** (32 - length)
    const start = parseV4(first) ?? 0
    return address >= start && address < start + size
  })
}

function parseV6(text: string): number[] | undefined {
  let rest = text
  const tail: number[] = []
  const dotted = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(rest)
  if (dotted) {
    const v4 = parseV4(dotted[2] ?? '')
    if (v4 === undefined) return undefined
    tail.push(Math.floor(v4 / 65_536), v4 % 65_536)
    rest = dotted[1] ?? ''
    if (!rest.endsWith('::')) rest = rest.slice(0, -1)
  }
  const halves = rest.split('::')
  if (halves.length > 2) return undefined
  const [left, right] = halves.map((half) => (half === '' ? [] : half.split(':')))
  const groups = [...(left ?? []), ...(right ?? [])]
  if (groups.some((group) => !/^[0-9a-f]{1,4}$/i.test(group))) return undefined
  const missing = 8 - groups.length - tail.length
  if (halves.length === 1 ? missing !== 0 : missing < 1) return undefined
  const numbers = (list: string[] | undefined) => (list ?? []).map((group) => Number.parseInt(group, 16))
  return [...numbers(left), ...Array<number>(halves.length === 2 ? missing : 0).fill(0), ...numbers(right), ...tail]
}

function isPublicV6(groups: readonly number[]): boolean {
  const at = (index: number) => groups[index] ?? 0
  const embedded = () => isPublicV4(at(6) * 65_536 + at(7))
  // An IPv4 address in IPv6 clothes: ::ffff:0:0/96 (mapped), 64:ff9b::/96 (NAT64).
  if (groups.slice(0, 5).every((group) => group === 0) && at(5) === 0xffff) return embedded()
  if (at(0) === 0x64 && at(1) === 0xff9b && groups.slice(2, 6).every((group) => group === 0)) return embedded()
  // 6to4 (2002::/16) carries one as well.
  if (at(0) === 0x2002) return isPublicV4(at(1) * 65_536 + at(2))
  // Documentation (2001:db8::/32) and Teredo (2001::/32) are not hosts; everything public lies in 2000::/3.
  if (at(0) === 0x2001 && (at(1) === 0xdb8 || at(1) === 0)) return false
  return at(0) >= 0x2000 && at(0) <= 0x3fff
}
