import { partsOf } from "@messenger/core";
import { optional, secretPairs, share, string } from "./settings.ts";

/** One piece of work, as part of a trace. */
export interface Span {
  /** What those who are called on for it are told: W3C Trace Context. */
  readonly traceparent: string;
  /** It is over. Attributes are named as OpenTelemetry's semantic conventions name them, where they do. */
  end(attributes: Readonly<Record<string, string | number>>, failed: boolean): void;
}

export interface Tracing {
  /** Begins a span, below that of `parent`, a `traceparent`, or as the first of a new trace. */
  begin(name: string, kind: "server" | "client", parent: string | undefined): Span;
  /** Sends what is not sent yet; gives up after 5 s. */
  close(): Promise<void>;
}

/** The settings of tracing, under OpenTelemetry's own names. Nothing is traced without an endpoint. */
export const tracingSettings = {
  otlpEndpoint: optional(string("OTEL_EXPORTER_OTLP_ENDPOINT", { fallback: "" })),
  otlpHeaders: secretPairs("OTEL_EXPORTER_OTLP_HEADERS"),
  traceShare: share("OTEL_TRACES_SAMPLER_ARG", { fallback: 1 }),
};

export interface TracingOptions {
  otlpEndpoint: string | undefined;
  otlpHeaders: Readonly<Record<string, string>>;
  /**
   * Of the traces that begin here, so many are kept: 0 to 1. Of those that began elsewhere, the ones that are
   * sampled there.
   */
  traceShare: number;
}

const CLOSE_WITHIN_MS = 5_000;
const SEND_EVERY_MS = 2_000;
/**
 * Spans that wait to be sent; beyond them, they are dropped: a collector that is slow or away costs memory
 * and nothing else.
 */
const MAX_WAITING = 8_192;
const TIMEOUT_MS = 5_000;

/**
 * Sends spans to a collector by OTLP, over HTTP. The SDK is loaded only where there is one: undefined
 * otherwise, and no cost.
 */
export async function openTracing(service: string, options: TracingOptions): Promise<Tracing | undefined> {
  if (options.otlpEndpoint === undefined || options.otlpEndpoint === "") return undefined;
  const { ROOT_CONTEXT, SpanKind, SpanStatusCode, trace, TraceFlags } = await import("@opentelemetry/api");
  const { BatchSpanProcessor, ParentBasedSampler, TracerProvider, TraceIdRatioBasedSampler } =
    await import("@opentelemetry/sdk-trace");
  const { OTLPTraceExporter } = await import("@opentelemetry/exporter-trace-otlp-http");
  const { resourceFromAttributes } = await import("@opentelemetry/resources");

  const exporter = new OTLPTraceExporter({
    url: `${options.otlpEndpoint.replace(/\/+$/u, "")}/v1/traces`,
    headers: { ...options.otlpHeaders },
    timeoutMillis: TIMEOUT_MS,
  });
  const provider = new TracerProvider({
    resource: resourceFromAttributes({ "service.name": `messenger-${service}` }),
    sampler: new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(options.traceShare) }),
    spanProcessors: [
      new BatchSpanProcessor({
        exporter,
        maxQueueSize: MAX_WAITING,
        scheduledDelayMillis: SEND_EVERY_MS,
        exportTimeoutMillis: TIMEOUT_MS,
      }),
    ],
  });
  const tracer = provider.getTracer("messenger");
  const kinds = { server: SpanKind.SERVER, client: SpanKind.CLIENT };

  return {
    begin(name, kind, parent) {
      const remote = parent === undefined ? undefined : partsOf(parent);
      const context =
        remote === undefined
          ? ROOT_CONTEXT
          : trace.setSpanContext(ROOT_CONTEXT, {
              traceId: remote.traceId,
              spanId: remote.parentId,
              traceFlags: remote.sampled ? TraceFlags.SAMPLED : TraceFlags.NONE,
              isRemote: true,
            });
      const span = tracer.startSpan(name, { kind: kinds[kind] }, context);
      const { traceId: id, spanId, traceFlags } = span.spanContext();
      return {
        traceparent: `00-${id}-${spanId}-0${traceFlags & TraceFlags.SAMPLED}`,
        end(attributes, failed) {
          span.setAttributes(attributes);
          if (failed) span.setStatus({ code: SpanStatusCode.ERROR });
          span.end();
        },
      };
    },
    async close() {
      const late = new Promise<void>((resolve) => setTimeout(resolve, CLOSE_WITHIN_MS).unref());
      await Promise.race([provider.shutdown().catch(() => undefined), late]); // a collector that is away
    },
  };
}
