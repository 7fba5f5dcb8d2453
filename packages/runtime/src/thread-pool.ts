/**
 * Passwords are hashed in Node's thread pool, and it looks up the names of PostgreSQL and RabbitMQ there.
 * (Names that are pushed to are resolved without threads.) Set before anything uses the pool, which reads it
 * then.
 */
process.env["UV_THREADPOOL_SIZE"] ??= "16";
