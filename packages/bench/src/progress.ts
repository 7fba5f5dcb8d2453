import { Presets, SingleBar } from "cli-progress";

/** A bar on a terminal, lines elsewhere. */
export interface Progress {
  begin(scenario: string): void;
  step(text: string): void;
  end(): void;
  close(): void;
}

export function createProgress(scenarios: number): Progress {
  const startedAt = performance.now();
  const bar = new SingleBar(
    { format: "{bar} {value}/{total} {scenario}: {step}", noTTYOutput: false, clearOnComplete: true, hideCursor: true },
    Presets.shades_classic,
  );
  const terminal = process.stderr.isTTY;
  let name = "";
  if (terminal) bar.start(scenarios, 0, { scenario: "starting", step: "" });

  function show(step: string): void {
    if (terminal) bar.update({ scenario: name, step });
    else process.stderr.write(`${Math.round((performance.now() - startedAt) / 1000)} s  ${name}: ${step}\n`);
  }

  return {
    begin(scenario) {
      name = scenario;
      show("starting");
    },
    step: show,
    end() {
      if (terminal) bar.increment();
    },
    close() {
      if (terminal) bar.stop();
    },
  };
}
