package rules;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;

/** All that is remembered of one workflow in one object, and all the rules. Input is in order of event time. */
public class Workflow {
    public String tenant;
    public String workflow;
    public Map<String, Long> seen = new HashMap<>(4);
    public Map<String, Long> ended = new HashMap<>(4);
    /** Deadlines of open executions. */
    public Map<String, Long> open = new HashMap<>(2);
    public Map<String, Long> stuck = new HashMap<>(0);
    public Auth auth = new Auth();
    public Breaker breaker = new Breaker();
    /** When ids older than the horizon are forgotten next, microseconds. */
    public long cleanup = Long.MAX_VALUE;
    /** What an engine that wakes a workflow has set its clock to; not a rule. */
    public long timer = Long.MAX_VALUE;

    /** Judge one event. */
    public void onEvent(Event event, Policy policy, Consumer<String> out) {
        long time = event.time;
        if (seen.putIfAbsent(event.eventId, time) != null) {
            return;
        }
        if (cleanup == Long.MAX_VALUE) {
            cleanup = time + policy.horizon + policy.horizon / 24;
        } else if (time >= cleanup) {
            seen.values().removeIf(at -> at <= time - policy.horizon);
            ended.values().removeIf(at -> at <= time - policy.horizon);
            cleanup = time + policy.horizon / 24;
        }
        String execution = event.executionId;
        if (event.opens()) {
            if (ended.containsKey(execution)) {
                return;
            }
            if (open.getOrDefault(execution, Long.MAX_VALUE) <= time) {
                settle(time, policy, out);
            }
            if (stuck.containsKey(execution)) {
                recovered(execution, time, out);
            } else {
                open.put(execution, time + policy.runTimeout);
            }
            return;
        }
        if (event.status.equals("queued") || ended.putIfAbsent(execution, time) != null) {
            return;
        }
        if (open.getOrDefault(execution, Long.MAX_VALUE) <= time) {
            settle(time, policy, out);
        } else {
            open.remove(execution);
        }
        boolean timedOut = event.status.equals("timed_out");
        if (stuck.containsKey(execution)) {
            if (timedOut) {
                stuck.remove(execution);
            } else {
                recovered(execution, time, out);
            }
        } else if (timedOut) {
            stuck(execution, time, policy, out);
            stuck.remove(execution);
        }
        if (event.isCounted() && auth.onRun(event, policy)) {
            out.accept(decision("block_for_credentials", event.eventId, time));
        }
    }

    /** Call stuck what is due, in order of deadline and id. */
    public void settle(long until, Policy policy, Consumer<String> out) {
        List<Map.Entry<String, Long>> due = new ArrayList<>();
        for (Map.Entry<String, Long> one : open.entrySet()) {
            if (one.getValue() <= until) {
                due.add(Map.entry(one.getKey(), one.getValue()));
            }
        }
        due.sort(Map.Entry.<String, Long>comparingByValue().thenComparing(Map.Entry.comparingByKey()));
        for (Map.Entry<String, Long> one : due) {
            open.remove(one.getKey());
            stuck(one.getKey(), one.getValue(), policy, out);
        }
    }

    public long nextDeadline() {
        long next = Long.MAX_VALUE;
        for (long deadline : open.values()) {
            next = Math.min(next, deadline);
        }
        return next;
    }

    private void stuck(String execution, long time, Policy policy, Consumer<String> out) {
        stuck.put(execution, time);
        out.accept(decision("execution_stuck", execution, time));
        if (breaker.onStuck(execution, time, policy)) {
            out.accept(decision("blacklist_workflow", execution, time));
        }
    }

    private void recovered(String execution, long time, Consumer<String> out) {
        stuck.remove(execution);
        breaker.onRecovered(execution);
        out.accept(decision("execution_recovered", execution, time));
    }

    private String decision(String kind, String cause, long time) {
        return String.join("\t", kind, tenant, workflow, cause, String.valueOf(time));
    }
}
