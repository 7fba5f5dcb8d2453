import { sql } from "kysely";
import type { Db } from "./database.ts";

/** Networks remembered of a user. */
const MAX_NETWORKS = 20;

export async function isFamiliarNetwork(db: Db, userId: number, network: string): Promise<boolean> {
  const { rows } = await sql`select from familiar_networks where user_id = ${userId} and network = ${network}`.execute(db);
  return rows.length > 0;
}

/**
 * Remembers that a user signed in from a network; forgets the ones not seen for longest beyond 20. Writes
 * once a day for each.
 */
export async function rememberNetwork(db: Db, userId: number, network: string): Promise<void> {
  await sql`
    insert into familiar_networks as f (user_id, network) select id, ${network} from users where id = ${userId}
    on conflict (user_id, network) do update set at = now() where f.at < now() - interval '1 day'
  `.execute(db);
  await sql`
    delete from familiar_networks where user_id = ${userId} and network in (
      select network from familiar_networks where user_id = ${userId} order by at desc offset ${MAX_NETWORKS}
    )
  `.execute(db);
}
