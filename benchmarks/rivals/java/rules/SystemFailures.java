package rules;

/** What is remembered of one external system of a workflow. */
public class SystemFailures {
    public int streak;
    public Times failures = new Times();
}
