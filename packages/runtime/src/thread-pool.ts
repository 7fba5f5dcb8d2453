/**
 * Node does name look-ups in the thread pool, and passwords are hashed in it, too. With its four threads, a few names whose servers do not
 * answer would hold up every new connection. Set before anything uses the pool, which reads it then.
 */
process.env["UV_THREADPOOL_SIZE"] ??= "16";
