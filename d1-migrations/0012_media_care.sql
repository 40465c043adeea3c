CREATE TABLE `media_sweep` (
	`id` integer PRIMARY KEY NOT NULL,
	`after` text
);
--> statement-breakpoint
CREATE TABLE `url_previews` (
	`url` text NOT NULL,
	`language` text NOT NULL,
	`answer` text,
	`expires_at` integer NOT NULL,
	`claimed_until` integer NOT NULL,
	PRIMARY KEY(`url`, `language`)
);
--> statement-breakpoint
CREATE INDEX `url_previews_by_expiry` ON `url_previews` (`expires_at`);--> statement-breakpoint
ALTER TABLE `media` ADD `last_access_at` integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE `media` ADD `needs_token` integer DEFAULT true NOT NULL;--> statement-breakpoint
ALTER TABLE `media` ADD `is_preview` integer DEFAULT false NOT NULL;--> statement-breakpoint
ALTER TABLE `media` ADD `quarantined_by` text;--> statement-breakpoint
ALTER TABLE `media` ADD `is_protected` integer DEFAULT false NOT NULL;--> statement-breakpoint
UPDATE `media` SET `last_access_at` = `created_at`;--> statement-breakpoint
CREATE INDEX `media_by_uploader` ON `media` (`uploader`,`created_at`,`size`);--> statement-breakpoint
CREATE INDEX `media_by_storage_key` ON `media` (`storage_key`);--> statement-breakpoint
CREATE INDEX `media_copies` ON `media` (`last_access_at`) WHERE "media"."uploader" IS NULL;--> statement-breakpoint
CREATE INDEX `media_of_previews` ON `media` (`sha256`) WHERE "media"."is_preview" = 1;