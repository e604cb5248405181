package rules;

import java.lang.management.ManagementFactory;
import java.util.concurrent.atomic.AtomicLong;

/** When the first event was read and the last one judged, in this process. */
public final class Clock {
    private static final AtomicLong first = new AtomicLong(Long.MAX_VALUE);
    private static final AtomicLong last = new AtomicLong(Long.MIN_VALUE);
    private static final AtomicLong events = new AtomicLong();
    /** Of all events of the run: a virtual machine's second half is faster than its first. */
    public static final long EXPECTED = Long.getLong("events", 0);
    /** How many events one thread judges between two looks at the clock. */
    public static final int STRIDE = 100;

    private Clock() {}

    public static void begin() {
        first.accumulateAndGet(System.nanoTime(), Math::min);
    }

    private static final AtomicLong half = new AtomicLong();

    private static volatile long halfCpu;
    private static volatile long lastCpu;

    /** Of all threads of the process, nanoseconds: the compiler's and the collector's too. */
    private static long cpu() {
        return ((com.sun.management.OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean()).getProcessCpuTime();
    }

    /** So many more events were judged; all of them until now. */
    public static long judged(int count) {
        long now = System.nanoTime();
        last.accumulateAndGet(now, Math::max);
        long all = events.addAndGet(count);
        if (all >= EXPECTED / 2 && all - count < EXPECTED / 2) {
            half.set(now);
            halfCpu = cpu();
        }
        if (all >= EXPECTED - 2 * STRIDE && all - count < EXPECTED - 2 * STRIDE) {
            lastCpu = cpu();
        }
        return all;
    }

    public static void report() {
        System.out.printf("second half: %.6f seconds%n", (last.get() - half.get()) / 1e9);
        System.out.printf("second half cpu: %.6f seconds%n", (lastCpu - halfCpu) / 1e9);
        System.out.printf("judged %d events in %.6f seconds%n", events.get(), (last.get() - first.get()) / 1e9);
    }
}
