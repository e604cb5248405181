package rules;

import java.io.Serializable;

/** The thresholds; durations in microseconds. */
public class Policy implements Serializable {
    public static final long SECOND = 1_000_000;

    public final int streak = 3;
    public final double ratio = 0.5;
    public final int minRuns = 10;
    public final long window = 3600 * SECOND;
    public final long cooldown = 30 * SECOND;
    public final long runTimeout = 65 * SECOND;
    public final long lateness = 60 * SECOND;
    public final int breakerThreshold = 5;
    public final long breakerWindow = 3600 * SECOND;
    /** Ids of events and of executions that ended are remembered so long. */
    public final long horizon = 24 * 3600 * SECOND;
}
