-- Steps of applied operations go by age; the operations stay, so that looking from those reads ever more of them. Writers wait while
-- it is built, a second or two for a million steps.
create index step_age on effects.effect_step (updated_at) where state = 'confirmed';
