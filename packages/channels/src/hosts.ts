/** The address in the hostname of a URL that is `[::1]`. */
export function withoutBrackets(hostname: string): string {
  return hostname.startsWith("[") ? hostname.slice(1, -1) : hostname;
}

/** Whether a host is in a list of `name`, `.domain` with all below it, or `*`; each may have a `:port`. */
export function matchesHost(list: readonly string[], hostname: string, port?: number): boolean {
  const host = withoutBrackets(hostname.toLowerCase());
  return list.some((entry) => {
    const [, name = "", onlyPort] = /^(.*?)(?::(\d+))?$/u.exec(entry.trim().toLowerCase()) ?? [];
    if (onlyPort !== undefined && Number(onlyPort) !== port) return false;
    const plain = name.replace(/^\*(?=\.)/u, "");
    if (plain === "*") return true;
    return plain.startsWith(".") ? host.endsWith(plain) || host === plain.slice(1) : host === plain;
  });
}
