package rules;

import java.util.HashMap;
import java.util.Map;

/** Stuck executions of one workflow in a window, until there are so many that it is blacklisted. */
public class Breaker {
    public Map<String, Long> stuck = new HashMap<>();
    public long newest = Long.MIN_VALUE / 2;
    public boolean blacklisted;

    /** Record an execution called stuck; true when that blacklists the workflow. */
    public boolean onStuck(String executionId, long time, Policy policy) {
        if (blacklisted) {
            return false;
        }
        stuck.put(executionId, time);
        newest = Math.max(newest, time);
        stuck.values().removeIf(at -> at <= newest - policy.breakerWindow);
        if (stuck.size() < policy.breakerThreshold) {
            return false;
        }
        blacklisted = true;
        stuck.clear();
        return true;
    }

    public void onRecovered(String executionId) {
        stuck.remove(executionId);
    }
}
