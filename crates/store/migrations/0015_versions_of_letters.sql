-- Where the latest wins, a good version ends the letters of older ones only: a letter about a later version stays. Text that sorts,
-- byte by byte, as the subject's versions do. Letters from before this column have none, and stay until a person ends them.
alter table letters.letter add column version text;
