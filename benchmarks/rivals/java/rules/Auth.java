package rules;

import java.util.HashMap;
import java.util.Map;

/** Auth failures of one workflow: streak and ratio, disarmed by a decision. Input is in order of event time. */
public class Auth {
    public Times runs = new Times();
    public Map<String, SystemFailures> systems = new HashMap<>(0);
    public boolean armed = true;
    public long decidedAt = Long.MIN_VALUE / 2;
    public int successes;

    /** Count a run by its first terminal event; true when that blocks the workflow. */
    public boolean onRun(Event event, Policy policy) {
        long begin = event.time - policy.window;
        runs.add(event.time);
        runs.forget(begin);
        if (event.isSuccess()) {
            if (event.systemKey == null) {
                systems.values().forEach(system -> system.streak = 0);
            } else if (systems.containsKey(event.systemKey)) {
                systems.get(event.systemKey).streak = 0;
            }
            if (!armed && ++successes >= 1 && systems.values().stream().noneMatch(system -> isAbove(system, begin, policy))) {
                armed = true;
            }
            return false;
        }
        successes = 0;
        if (!event.isAuthFailure()) {
            return false;
        }
        SystemFailures system = systems.computeIfAbsent(event.system(), name -> new SystemFailures());
        system.streak++;
        system.failures.add(event.time);
        if (!armed && event.time < decidedAt + policy.cooldown) {
            return false;
        }
        armed = true;
        if (system.streak < policy.streak && !isAbove(system, begin, policy)) {
            return false;
        }
        armed = false;
        decidedAt = event.time;
        return true;
    }

    public Auth copy() {
        Auth copy = new Auth();
        copy.runs = runs.copy();
        systems.forEach((name, system) -> {
            SystemFailures one = new SystemFailures();
            one.streak = system.streak;
            one.failures = system.failures.copy();
            copy.systems.put(name, one);
        });
        copy.armed = armed;
        copy.decidedAt = decidedAt;
        copy.successes = successes;
        return copy;
    }

    private boolean isAbove(SystemFailures system, long begin, Policy policy) {
        system.failures.forget(begin);
        return runs.size >= policy.minRuns && (double) system.failures.size / runs.size > policy.ratio;
    }
}
