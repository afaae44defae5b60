"""Forms made from settings: `step_form.StepForm` shows the fields of a step, `choices.CHOICES` what can be chosen."""
