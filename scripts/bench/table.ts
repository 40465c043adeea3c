/** The figures of a benchmark as a table for a terminal. Pure. */
import type { Row } from './measure.ts'

const heads = ['', 'times', 'p50 ms', 'p95 ms', 'per s', 'CPU ms', '× floor p50', '× floor CPU', '']

export function tableOf(rows: readonly Row[]): string {
  const lines = [heads, ...rows.map(cellsOf)]
  const widths = heads.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)))
  return lines
    .map((line) =>
      line
        .map((cell, column) =>
          column === 0 || column === heads.length - 1
            ? cell.padEnd(widths[column] ?? 0)
            : cell.padStart(widths[column] ?? 0),
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
