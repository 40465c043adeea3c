CREATE TABLE `media` (
	`server_name` text NOT NULL,
	`media_id` text NOT NULL,
	`uploader` text,
	`storage_key` text,
	`content_type` text NOT NULL,
	`file_name` text,
	`size` integer NOT NULL,
	`sha256` text,
	`created_at` integer NOT NULL,
	`expires_at` integer,
	PRIMARY KEY(`server_name`, `media_id`)
);
--> statement-breakpoint
CREATE INDEX `media_awaited` ON `media` (`uploader`,`expires_at`) WHERE "media"."storage_key" IS NULL;