/** The figures of a benchmark as a table for a terminal. Pure. */
import type { Row } from './measure.ts'

const units = {
  object_requests: 'objects',
  object_rows_read: 'rows read there',
  object_rows_written: 'written',
  d1_queries: 'D1 queries',
  d1_rows_read: 'rows read',
  d1_rows_written: 'written',
  r2_class_a: 'R2 A',
  r2_class_b: 'R2 B',
} as const

/** What one of each would be billed for; empty where nothing was counted. */
export function usageTableOf(rows: readonly Row[]): string {
  const counted = rows.flatMap(({ name, used }) =>
    used ? [[name, ...Object.keys(units).map((unit) => countOf(used[unit] ?? 0))]] : [],
  )
  return counted.length === 0 ? '' : aligned([['one uses', ...Object.values(units)], ...counted])
}

function countOf(value: number): string {
  return Number.isInteger(value) || value >= 100 ? value.toFixed(0) : value.toFixed(1)
}

const heads = ['', 'times', 'p50 ms', 'p95 ms', 'per s', 'CPU ms', '× floor p50', '× floor CPU', '']

export function tableOf(rows: readonly Row[]): string {
  return aligned([heads, ...rows.map(cellsOf)])
}

/** Columns of equal width: the first and what is empty at the head begin at the left. */
function aligned(lines: readonly (readonly string[])[]): string {
  const [head = []] = lines
  const widths = head.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)))
  return lines
    .map((line) =>
      line
        .map((cell, column) =>
          column === 0 || head[column] === '' ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0),
        )
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

function cellsOf({ name, count, p50, p95, perSecond, cpu, floor, note }: Row): string[] {
  return [
    name,
    String(count),
    figure(p50),
    figure(p95),
    perSecond.toFixed(perSecond < 10 ? 1 : 0),
    figure(cpu),
    floor ? (p50 / floor.p50).toFixed(1) : '',
    floor?.cpu && cpu !== undefined ? (cpu / floor.cpu).toFixed(1) : '',
    note ?? '',
  ]
}

/** Three digits are more than any machine repeats. */
function figure(value: number | undefined): string {
  if (value === undefined || !Number.isFinite(value)) return ''
  return value >= 100 ? value.toFixed(0) : value >= 0.1 ? value.toPrecision(3) : value.toPrecision(2)
}
