/** What the Worker and workerd log, as lines on the standard error of the server. */

/** From the least to the most important. */
const levels = ['debug', 'info', 'warn', 'error']

interface LogEntry {
  readonly timestamp: number
  readonly level: string
  readonly message: string
}

/** Prints an entry, of one line of JSON where it is that already, unless it is less important than `least`. */
export function printLog({ timestamp, level, message }: LogEntry, least: string): void {
  // console.log and levels that are new to us count as information.
  const rank = levels.includes(level) ? level : 'info'
  if (levels.indexOf(rank) < levels.indexOf(least)) return
  if (message.startsWith('{"level":')) {
    console.error(`{"time":"${new Date(timestamp).toISOString()}",${message.slice(1)}`)
    return
  }
  console.error(
    `${new Date(timestamp).toISOString()} ${rank} ${least === 'debug' ? message : withoutAddresses(message)}`,
  )
}

/** workerd adds the addresses of its own machine code to what goes wrong inside it, such as a connection that fails. */
function withoutAddresses(message: string): string {
  return message.replace(/\n?stack: (?:\S*workerd@[0-9a-f]+ ?)+;?/, '')
}
