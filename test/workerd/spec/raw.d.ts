declare module '*.tsv?raw' {
  const text: string
  export default text
}

/** Of Vite: the modules, or how to load them, by their paths. */
interface ImportMeta {
  glob<Module>(
    pattern: string | readonly string[],
    options: { readonly eager: true; readonly query?: string; readonly import?: string },
  ): Record<string, Module>
  glob(pattern: string): Record<string, () => Promise<unknown>>
}
