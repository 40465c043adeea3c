ALTER TABLE `remote_keys` ADD `told_at` integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE `remote_keys` ADD `changed_at` integer DEFAULT 0 NOT NULL;